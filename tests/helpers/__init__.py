"""What several tests need: fakes, small data, small networks; a package, so that other processes can import it."""
