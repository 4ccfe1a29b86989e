"""Many machines for one set of shards: `wgan sample --ray`, over Ray Core."""
