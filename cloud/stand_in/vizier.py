"""Vizier's studies and trials. Suggestions are drawn at random with a seed."""

import math
import random

from cloud.stand_in.store import Call, RefusedError, Resource, Route, Store, now

ENDED = ("SUCCEEDED", "INFEASIBLE")


class Vizier:
    """Requests for studies and trials."""

    def __init__(self, store: Store, seed: int = 0) -> None:
        self._store = store
        self._random = random.Random(seed)  # noqa: S311 - not for cryptography

    def routes(self) -> list[Route]:
        """The routes."""
        store, trial = self._store, "(studies/[^/:]+/trials/[^/:]+)"
        return [
            ("POST", "studies", "Study", self._create),
            ("GET", "studies", None, lambda call: store.listed("studies", call)),
            ("POST", "studies:lookup", "LookupStudyRequest", self._lookup),
            ("GET", "(studies/[^/:]+)", None, lambda call: store.get(call.ids[0])),
            ("DELETE", "(studies/[^/:]+)", None, self._delete),
            ("POST", "(studies/[^/:]+)/trials:suggest", "SuggestTrialsRequest", self._suggest),
            ("GET", "(studies/[^/:]+)/trials", None, self._list_trials),
            ("GET", trial, None, lambda call: store.get(call.ids[0])),
            ("DELETE", trial, None, self._delete),
            ("POST", f"{trial}:addTrialMeasurement", "AddTrialMeasurementRequest", self._measure),
            ("POST", f"{trial}:complete", "CompleteTrialRequest", self._complete),
            ("POST", f"{trial}:stop", "StopTrialRequest", self._stop),
            (
                "POST",
                f"{trial}:checkTrialEarlyStoppingState",
                "CheckTrialEarlyStoppingStateRequest",
                self._should_stop,
            ),
        ]

    def _create(self, call: Call) -> Resource:
        spec = call.body.get("studySpec", {})
        if not call.body.get("displayName") or not spec.get("metrics") or not spec.get("parameters"):
            raise RefusedError(400, "A study needs displayName, studySpec.metrics and studySpec.parameters.")
        if any(each["displayName"] == call.body["displayName"] for each in self._store.children("studies")):
            raise RefusedError(409, f"A study named {call.body['displayName']} already exists.")
        path = f"studies/{self._store.next_id()}"
        return self._store.add(call.region, path, {**call.body, "state": "ACTIVE"})

    def _lookup(self, call: Call) -> Resource:
        for each in self._store.children("studies"):
            if each["displayName"] == call.body.get("displayName"):
                return each
        raise RefusedError(404, f"There is no study named {call.body.get('displayName')}.")

    def _delete(self, call: Call) -> Resource:
        self._store.remove(call.ids[0])
        return {}

    def _suggest(self, call: Call) -> Resource:
        study, path = self._store.get(call.ids[0]), f"{call.ids[0]}/trials"
        client = call.body.get("clientId", "")

        def check() -> None:
            if not client or int(call.body.get("suggestionCount", 0)) < 1:
                raise RefusedError(400, "Suggestions need clientId and suggestionCount.")

        def change() -> Resource:
            # A client that lost the response gets the same trials again.
            trials = [
                each for each in self._store.children(path) if each["clientId"] == client and each["state"] not in ENDED
            ]
            while len(trials) < int(call.body["suggestionCount"]):
                number = str(len(self._store.children(path)) + 1)
                values = [
                    {"parameterId": each["parameterId"], "value": self._draw(each)}
                    for each in study["studySpec"]["parameters"]
                ]
                trial = {"id": number, "state": "ACTIVE", "parameters": values, "clientId": client, "startTime": now()}
                trials.append(self._store.add(call.region, f"{path}/{number}", trial))
            return {"trials": [_shown(each) for each in trials], "studyState": "ACTIVE"}

        return self._store.operation(call, "suggest", "cloud.aiplatform.v1.SuggestTrialsResponse", change, check)

    def _draw(self, parameter: Resource) -> object:
        if "categoricalValueSpec" in parameter:
            return self._random.choice(parameter["categoricalValueSpec"]["values"])
        if "discreteValueSpec" in parameter:
            return self._random.choice(parameter["discreteValueSpec"]["values"])
        if "integerValueSpec" in parameter:
            spec = parameter["integerValueSpec"]
            return self._random.randint(int(spec.get("minValue", 0)), int(spec.get("maxValue", 0)))
        if "doubleValueSpec" not in parameter:
            raise RefusedError(400, f"The parameter {parameter['parameterId']} has no values.")
        spec = parameter["doubleValueSpec"]
        low, high = float(spec.get("minValue", 0)), float(spec.get("maxValue", 0))
        if parameter.get("scaleType") == "UNIT_LOG_SCALE":
            return math.exp(self._random.uniform(math.log(low), math.log(high)))
        return self._random.uniform(low, high)

    def _list_trials(self, call: Call) -> Resource:
        self._store.get(call.ids[0])
        return {"trials": [_shown(each) for each in self._store.children(f"{call.ids[0]}/trials")]}

    def _measure(self, call: Call) -> Resource:
        trial = self._running(call)
        trial.setdefault("measurements", []).append(call.body.get("measurement", {}))
        return _shown(trial)

    def _complete(self, call: Call) -> Resource:
        trial = self._running(call)
        final = call.body.get("finalMeasurement") or (trial.get("measurements") or [None])[-1]
        if call.body.get("trialInfeasible"):
            trial.update(state="INFEASIBLE", infeasibleReason=call.body.get("infeasibleReason", ""))
        elif not final:
            raise RefusedError(400, "A trial without measurements needs finalMeasurement.")
        else:
            trial.update(state="SUCCEEDED", finalMeasurement=final)
        trial["endTime"] = now()
        return _shown(trial)

    def _stop(self, call: Call) -> Resource:
        trial = self._running(call)
        trial["state"] = "STOPPING"
        return _shown(trial)

    def _should_stop(self, call: Call) -> Resource:
        self._running(call)
        response_type = "cloud.aiplatform.v1.CheckTrialEarlyStoppingStateResponse"
        return self._store.operation(call, "checkTrialEarlyStoppingState", response_type, lambda: {"shouldStop": False})

    def _running(self, call: Call) -> Resource:
        trial = self._store.get(call.ids[0])
        if trial["state"] in ENDED:
            raise RefusedError(400, f"The trial {trial['id']} has ended.")
        return trial


def _shown(trial: Resource) -> Resource:
    """A trial as the API returns it, without its creation time."""
    return {key: value for key, value in trial.items() if key not in ("createTime", "updateTime")}
