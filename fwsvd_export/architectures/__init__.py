"""What is known of each architecture: its layers, heads and inputs. Nothing else names a module of a family."""
