"""What surrounds the pipeline: the demo studio and its model, containers and deployments."""
