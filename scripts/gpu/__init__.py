"""What only an NVIDIA GPU can show, in stages: `bash scripts/gpu_check.sh [STAGE ...]`."""
