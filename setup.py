"""The packages of wgan: the folders `serve`, `training` and `export` install inside it, with all that they hold."""

from setuptools import find_packages, setup

ROOMS = ("serve", "training", "export")

setup(
    packages=[
        *find_packages(include=["wgan", "wgan.*"]),
        *(
            f"wgan.{name}"
            for name in find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])
        ),
    ],
)
