"""Lands files of crypto-futures history in the warehouse that dbt models."""
