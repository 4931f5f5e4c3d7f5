"""The calls of the aggregator's API, by the operationId of aggregator/api/openapi.yaml.

A test compares this table with that file: nothing is missing, nothing is wrong.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple


class Operation(NamedTuple):
    """One call. Parameters that stand neither in the path nor in the query are the members of its JSON body."""

    method: str
    path: str
    query: List[str]
    body: str  # "json", "bytes" or "none": what goes up
    answer: str  # "json", "bytes", "text", "events" or "readiness": what comes down


def _table(text: str) -> Dict[str, Operation]:
    operations = {}
    for line in text.strip().splitlines():
        name, method, where, *more = line.split()
        path, _, query = where.partition("?")
        words = dict(word.split("=") for word in more)
        body = words.get("body", "json" if method == "POST" else "none")
        operations[name] = Operation(method, path, query.split("&") if query else [], body, words.get("answer", "json"))
    return operations


OPERATIONS: Dict[str, Operation] = _table(
    """
    isAlive GET /livez answer=text
    isReady GET /readyz answer=readiness
    readMetrics GET /metrics answer=text
    getTufMetadata GET /tuf/metadata/{file} answer=bytes
    getTufTarget GET /tuf/targets/{folder}/{file} answer=bytes
    getTufModel GET /tuf/targets/models/{task}/{file} answer=bytes
    listTasks GET /api/v1/tasks
    createTask POST /api/v1/tasks
    getTask GET /api/v1/tasks/{task}
    listRounds GET /api/v1/tasks/{task}/rounds?cursor&limit
    startRounds POST /api/v1/tasks/{task}/rounds
    cancelRounds POST /api/v1/tasks/{task}/rounds/cancel body=none
    pauseRounds POST /api/v1/tasks/{task}/rounds/pause
    resumeRounds POST /api/v1/tasks/{task}/rounds/resume body=none
    setSettings POST /api/v1/tasks/{task}/settings
    askAgain POST /api/v1/tasks/{task}/rounds/ask-again
    rollBack POST /api/v1/tasks/{task}/rollback
    getPrivacy GET /api/v1/tasks/{task}/privacy
    getRound GET /api/v1/tasks/{task}/rounds/{round}
    listContributions GET /api/v1/tasks/{task}/rounds/{round}/contributions?cursor&limit
    listVersions GET /api/v1/tasks/{task}/versions?cursor&limit
    getVersion GET /api/v1/tasks/{task}/versions/{version}
    getSpread GET /api/v1/tasks/{task}/versions/{version}/spread
    getManifest GET /api/v1/tasks/{task}/versions/{version}/manifest
    getProof GET /api/v1/tasks/{task}/versions/{version}/proofs/{leaf}
    pinVersion POST /api/v1/tasks/{task}/versions/{version}/pin
    unpinVersion POST /api/v1/tasks/{task}/versions/{version}/unpin
    pruneVersions POST /api/v1/tasks/{task}/prune
    getBlob GET /api/v1/blobs/{digest} answer=bytes
    putBlob PUT /api/v1/blobs/{digest} body=bytes
    listDevices GET /api/v1/devices?state&cursor&limit
    getDevice GET /api/v1/devices/{device}
    approveDevice POST /api/v1/devices/{device}/approve
    refuseDevice POST /api/v1/devices/{device}/refuse
    revokeDevice POST /api/v1/devices/{device}/revoke
    forgetDevice POST /api/v1/devices/{device}/forget
    forgetDeviceReport POST /api/v1/devices/{device}/forget-report
    listGateways GET /api/v1/gateways?cursor&limit
    getGateway GET /api/v1/gateways/{gateway}
    revokeGateway POST /api/v1/gateways/{gateway}/revoke
    listEnrolmentTokens GET /api/v1/enrolment-tokens
    createEnrolmentToken POST /api/v1/enrolment-tokens
    removeEnrolmentToken DELETE /api/v1/enrolment-tokens/{token}
    listSealingKeys GET /api/v1/sealing-keys
    rotateSealingKey POST /api/v1/sealing-keys
    listStaging GET /api/v1/staging?device
    dropStaging POST /api/v1/staging/drop
    getClock GET /api/v1/clock
    acceptClock POST /api/v1/clock
    readAudit GET /api/v1/audit?after&limit
    getAccount GET /api/v1/account
    watchEvents GET /api/v1/events?task answer=events
    listCodes GET /api/v1/codes
    """
)
