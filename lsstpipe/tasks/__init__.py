"""The steps of the production: each a module with Config, Inputs, Outputs and run."""
