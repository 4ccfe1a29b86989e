"""The suite. Its processes wait for each other as those of the commands do."""

from wgan.serve.machine.cores import spin_briefly

spin_briefly()
