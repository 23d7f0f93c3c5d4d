"""What builds and checks Tollbridge itself: the tasks behind `./run`. Nothing here is imported by the product."""
