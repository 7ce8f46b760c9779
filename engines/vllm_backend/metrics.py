"""vLLM's own statistics on Triton's metrics page, under vLLM's names, where REPORT_CUSTOM_METRICS is true."""

from typing import Any

from engines.serving import Model

_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30.0]
_TOKENS = [1.0, 8.0, 32.0, 128.0, 512.0, 2_048.0, 8_192.0]


class EngineStatistics:
    """A vLLM stat logger (vllm.v1.metrics.loggers.StatLoggerBase) for engine 0; made before the engine."""

    def __init__(self, model: Model, version: str) -> None:
        self._labels = {"model": model.name, "version": version}
        self._metrics = model.metrics
        self._prompt_tokens = self._metric("prompt_tokens_total", "Prompt tokens processed", "COUNTER")
        self._generation_tokens = self._metric("generation_tokens_total", "Tokens generated", "COUNTER")
        self._preemptions = self._metric("num_preemptions_total", "Preemptions by the engine", "COUNTER")
        self._running = self._metric("num_requests_running", "Requests in the batch", "GAUGE")
        self._waiting = self._metric("num_requests_waiting", "Requests waiting to be processed", "GAUGE")
        self._cache_usage = self._metric("kv_cache_usage_perc", "KV cache in use; 1 is all of it", "GAUGE")
        self._first_token_s = self._metric("time_to_first_token_seconds", "Time to first token", "HISTOGRAM", _SECONDS)
        self._token_s = self._metric(
            "request_time_per_output_token_seconds", "Time per further token", "HISTOGRAM", _SECONDS
        )
        self._request_s = self._metric("e2e_request_latency_seconds", "Time of a request", "HISTOGRAM", _SECONDS)
        self._request_prompt = self._metric("request_prompt_tokens", "Prompt tokens", "HISTOGRAM", _TOKENS)
        self._request_generation = self._metric("request_generation_tokens", "Tokens generated", "HISTOGRAM", _TOKENS)

    def __call__(self, _config: Any, _engine: int = 0) -> "EngineStatistics":
        """Be the factory that vLLM asks for."""
        return self

    def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
        """Take what vLLM reports after each step of the engine, either of which may be None."""
        if scheduler_stats is not None:
            self._running.set(scheduler_stats.num_running_reqs)
            self._waiting.set(scheduler_stats.num_waiting_reqs)
            self._cache_usage.set(scheduler_stats.kv_cache_usage)
        if iteration_stats is not None:
            self._prompt_tokens.increment(iteration_stats.num_prompt_tokens)
            self._generation_tokens.increment(iteration_stats.num_generation_tokens)
            self._preemptions.increment(iteration_stats.num_preempted_reqs)
            for first_token_s in iteration_stats.time_to_first_tokens_iter:
                self._first_token_s.observe(first_token_s)
            for request in iteration_stats.finished_requests:
                self._request_s.observe(request.e2e_latency)
                self._token_s.observe(request.mean_time_per_output_token)
                self._request_prompt.observe(float(request.num_prompt_tokens))
                self._request_generation.observe(float(request.num_generation_tokens))

    def log_engine_initialized(self) -> None:
        """Nothing to say."""

    def log(self) -> None:
        """Nothing to say."""

    def record_sleep_state(self, is_awake: int, level: int) -> None:
        """The engine never sleeps here."""

    def _metric(self, name: str, description: str, kind: str, buckets: list[float] | None = None) -> Any:
        family = self._metrics.foreign(f"vllm:{name}", description, kind)
        return family.metric(self._labels, buckets)
