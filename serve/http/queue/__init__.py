"""From requests to batches and back: the queue, its workers, and the generator that they run."""
