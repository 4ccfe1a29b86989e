"""`/v1/images`: what a request asks for, and the body in which it gets it."""
