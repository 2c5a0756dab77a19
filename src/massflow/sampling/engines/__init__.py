"""Engines: what draws samples. One is one file here that satisfies `Engine`; it is imported when it is asked for."""

from massflow.sampling.engines.engine import Completion, Engine, Failure, Request, Result

__all__ = ["Completion", "Engine", "Failure", "Request", "Result"]
