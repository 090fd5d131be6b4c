"""What every step shares: errors, untrusted files, paths, progress. Nothing here knows of networks."""
