"""The command line's way in: programs on this machine that can read the service token."""

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import Response, StreamingResponse

from dashboards import routes_alerts, routes_packs, routes_review
from dashboards.answers import only_known_parameters, problems
from dashboards.bodies import Enrolment
from dashboards.context import House
from dashboards.models import Alert, BrokerLogin, Enrolled, MqttAddress
from dashboards.parameters import IncidentKey
from dashboards.sessions import local_program
from registry.audit import PROGRAM
from registry.enrolment import Enrolment as EnrolmentRecord
from registry.errors import ConflictError, RefusedError

router = APIRouter(prefix="/api/local", tags=["local"], dependencies=[Depends(local_program)])


@router.post("/enrol", operation_id="enrolUnit", responses=problems(409, 422, 503))
async def enrol(body: Enrolment, house: House) -> Enrolled:
    """Register what the enrolment names, and get the broker accounts of its unit and gateway."""
    if house.enroller is None:
        raise HTTPException(503, "This process has no broker accounts to give: ask the one that runs `packwatch up`.")
    wanted = EnrolmentRecord(**{name: getattr(body, name) for name in Enrolment.model_fields})
    try:
        enrolled = await house.enroller.enrol(wanted)
    except (RefusedError, ConflictError) as error:
        raise HTTPException(409, str(error)) from error
    return Enrolled(
        fleet_id=enrolled.fleet_id,
        gateway=BrokerLogin(username=enrolled.gateway.username, password=enrolled.gateway.password),
        unit=BrokerLogin(username=enrolled.unit.username, password=enrolled.unit.password),
        mqtt=MqttAddress(host=enrolled.mqtt_host, port=enrolled.mqtt_port),
    )


@router.get("/incidents/{incident_id}/bundle", operation_id="getEvidenceBundleLocally", responses=problems(404, 503))
async def bundle(incident_id: IncidentKey, house: House) -> Response:
    """An incident's evidence bundle."""
    return await routes_review.make_bundle(incident_id, PROGRAM, house)


router.add_api_route(
    "/alerts",
    routes_alerts.alerts,
    operation_id="listAlertsLocally",
    response_model=list[Alert],
    responses=problems(422),
    dependencies=[Depends(only_known_parameters)],
)
router.add_api_route(
    "/export",
    routes_packs.export,
    operation_id="exportPackLocally",
    response_class=StreamingResponse,
    responses=problems(404, 422, 503),
    dependencies=[Depends(only_known_parameters)],
)
