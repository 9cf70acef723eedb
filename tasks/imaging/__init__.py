"""Images as arrays: the only room that imports Pillow, OpenCV, scikit-image and SciPy."""
