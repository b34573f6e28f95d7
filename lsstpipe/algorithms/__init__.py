"""Pure functions of arrays and values, one physical subject a module."""
