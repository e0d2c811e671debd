"""Supernets: how one is trained, what its file holds, and how what is cut out of it is made fit to be measured."""
