"""What a deployed machine needs: artifacts, latents, backends and the command line. Never needs torch."""
