"""The open questions of the TTE-Flash abstract, measured against each other on Shapes with small models."""
