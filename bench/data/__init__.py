"""From audio files to batches of views: manifest, PCM store, prepare, views, front end."""
