"""What stages share: manifests, audio files, the PCM store, views, front ends, augmentations."""
