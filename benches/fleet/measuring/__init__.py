"""Measures hoist and its peers on one fleet; see the module `parts` for what is measured."""
