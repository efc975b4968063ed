"""A small controller of SeldonDeployments; it honours the manifests of the official operator."""
