"""What the made-up cells of the tests of figures are called."""

ODD = "<script>alert('&')_%$x^2$\\{}#~"


TAGS = [f"tag {number}" for number in range(8)]  # few: labels of tags are what takes time to draw


METHODS = ("simclr", "vicreg", "byol", "supervised", "random_init")
