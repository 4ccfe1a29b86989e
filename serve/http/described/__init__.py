"""What the server says of itself: the page, its health, the model, metrics and the OpenAPI document."""
