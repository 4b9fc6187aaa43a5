"""The encrypted files that tell the gateways whom to serve: what is in one, its form, its publication, its history.

MA holds access: customers, their services, limits and the fingerprints of their keys. MM holds the encryption keys that
customers imported. README.md, "Vault files", is the document for those who read them.
"""
