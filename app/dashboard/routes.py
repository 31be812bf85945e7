"""HTTP of the dashboard: all its pages."""

from fastapi import APIRouter

from app.dashboard import lost_routes, overview_routes, session_routes, static_routes

router = APIRouter(include_in_schema=False)
for room in (session_routes, static_routes, overview_routes, lost_routes):
    router.include_router(room.router)
