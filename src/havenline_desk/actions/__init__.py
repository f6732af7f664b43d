"""Every write of the desk, one verb a file. An action takes plain values and `at=`, and says what it refused."""
