"""Witnesses: others who have seen the ledger's heads, so that whoever runs the gateway cannot take one back."""
