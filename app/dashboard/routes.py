"""HTTP of the dashboard: all its pages."""

from fastapi import APIRouter

from app.dashboard import (
    act_routes,
    batch_routes,
    export_page_routes,
    lost_routes,
    one_order_routes,
    order_routes,
    overview_routes,
    session_routes,
    static_routes,
    submission_routes,
)

router = APIRouter(include_in_schema=False)
of_orders = (order_routes, one_order_routes, submission_routes)
of_batches = (batch_routes, act_routes, export_page_routes)
for room in (session_routes, static_routes, overview_routes, *of_orders, *of_batches, lost_routes):
    router.include_router(room.router)
