"""What every part uses: errors, stored products, plug-ins by name, progress, random numbers."""
