"""Our protos through Envoy's transcoder: the same server answers the same, whichever of the two is in front."""
