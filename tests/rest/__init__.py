"""The bridge over real HTTP: limits, errors, streams, headers, proxies."""
