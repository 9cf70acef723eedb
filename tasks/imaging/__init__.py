"""Pictures as arrays: decode, cut out, compose, recolour, finish, mark, measure. The only Pillow and OpenCV.

An image is a uint8 array (height, width, 3) in sRGB, a mask a float32 array (height, width) in [0, 1], one where the
product is.
"""
