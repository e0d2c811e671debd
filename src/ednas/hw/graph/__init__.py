"""What is computed: a network as a graph of layers, and what turns modules and lists into one."""
