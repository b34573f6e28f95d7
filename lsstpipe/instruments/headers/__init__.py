"""Headers of raw frames in lsstpipe's terms: one module a camera, each with a ``TRANSLATOR``.

They need large packages. Only `ingest` reads headers; a job takes what it found from the plan.
"""
