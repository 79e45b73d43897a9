"""What every part of the package uses: errors, stored products, plug-ins, progress, randomness."""
