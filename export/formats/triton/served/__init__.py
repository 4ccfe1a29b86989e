"""What runs elsewhere: a model in Triton's Python, with numpy alone, and its client. Both are copied as they stand."""
