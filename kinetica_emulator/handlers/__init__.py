"""What each call does, a function per endpoint.

Lives here: reading a request's fields, and shaping the reply's. Does not: bytes and HTTP (the
server's), rows and monitors themselves (the database's). May import the rest of the emulator
except `server`, `emulator` and `ring`.
"""

from __future__ import annotations

from collections.abc import Mapping

from kinetica_emulator.handlers import (
    alter,
    catalogue,
    dml,
    monitoring,
    permissions,
    reads,
    statements,
    system,
)
from kinetica_emulator.handlers.call import Call, Handler

HANDLERS: Mapping[str, Handler] = {
    "/show/system/properties": system.show_system_properties,
    "/show/system/status": system.show_system_status,
    "/has/permission": permissions.has_permission,
    "/grant/permission": permissions.grant_permission,
    "/revoke/permission": permissions.revoke_permission,
    "/has/table": catalogue.has_table,
    "/has/schema": catalogue.has_schema,
    "/has/type": catalogue.has_type,
    "/show/table": catalogue.show_table,
    "/show/types": catalogue.show_types,
    "/show/schema": catalogue.show_schema,
    "/show/tables/bytype": catalogue.show_tables_bytype,
    "/create/schema": catalogue.create_schema,
    "/drop/schema": catalogue.drop_schema,
    "/create/type": catalogue.create_type,
    "/create/table": catalogue.create_table,
    "/clear/table": catalogue.clear_table,
    "/clear/tables": catalogue.clear_tables,
    "/alter/table": alter.alter_table,
    "/alter/table/columns": alter.alter_table_columns,
    "/insert/records": dml.insert_records,
    "/insert/records/random": dml.insert_records_random,
    "/update/records": dml.update_records,
    "/delete/records": dml.delete_records,
    "/get/records": reads.get_records,
    "/get/records/bycolumn": reads.get_records_bycolumn,
    "/execute/sql": statements.execute_sql,
    "/create/tablemonitor": monitoring.create_tablemonitor,
    "/clear/tablemonitor": monitoring.clear_tablemonitor,
    "/show/tablemonitors": monitoring.show_tablemonitors,
    "/alter/tablemonitor": monitoring.alter_tablemonitor,
}

__all__ = ["HANDLERS", "Call", "Handler"]
