"""What a program runs on: boards as data, the emulated ones, flash tools and the link to them."""
