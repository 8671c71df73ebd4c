"""The running service as a command on its machine sees it: asked over `admin.listen`."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from bridge.cli.connection import connect
from bridge.config import Config
from bridge.errors import BridgeError, cause_of
from bridge.supervisor.token import read_token

# A page may wait for a disk that hangs.
_TIMEOUT = 15.0


class NotRunning(BridgeError):
    """Nothing listens where the service would."""


class RequestFailed(BridgeError):
    """The service says no.

    Attributes:
        status: of its answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Service:
    """Asks the service of a configuration.

    The token is `admin.token`, else the one that the service leaves in the journal's folder.
    """

    def __init__(self, config: Config) -> None:
        self._admin = config.admin
        given = config.admin.token
        self._token = given.get_secret_value() if given else read_token(config.journal.path)

    @property
    def place(self) -> str:
        """Where it is asked."""
        host = self._admin.reachable_host
        return f"[{host}]:{self._admin.port}" if ":" in host else f"{host}:{self._admin.port}"

    def get(self, path: str) -> Any:
        """Return what a page says.

        Raises:
            NotRunning: nobody listens there.
            BridgeError: the service refuses, or what listens there is another program.
        """
        return self._ask("GET", path)

    def post(self, path: str, form: Mapping[str, str] | None = None) -> Any:
        """Ask for something to be done, and return the answer; raises as `get`."""
        return self._ask("POST", path, urlencode(form or {}, safe=","))

    def delete(self, path: str) -> Any:
        """Ask for something to be taken away, and return the answer; raises as `get`."""
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, form: str = "") -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = connect(self._admin, _TIMEOUT)
        try:
            connection.request(method, path, form or None, headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
        except ConnectionRefusedError:
            raise NotRunning(f"no service at {self.place}") from None
        except ssl.SSLCertVerificationError as error:
            raise BridgeError(
                f"the service at {self.place} shows a certificate that is not trusted: "
                f"{error.verify_message}",
                hint="see admin.tls; one renewed in its place is taken up by a reload, SIGHUP",
            ) from None
        except ValueError:
            raise BridgeError(f"what listens at {self.place} is no kinetica-bridge") from None
        except (OSError, HTTPException) as error:
            raise BridgeError(
                f"the service at {self.place} cannot be asked: {cause_of(error)}",
                hint=self._scheme_hint(error),
            ) from None
        finally:
            connection.close()
        if answer.status >= 400:
            reason = content.get("error") or content.get("status") or answer.reason
            raise RequestFailed(f"the service at {self.place} says: {reason}", answer.status)
        return content

    def _scheme_hint(self, error: Exception) -> str | None:
        """Say what helps where the file says https and the service speaks http, or the reverse."""
        https = self._admin.tls is not None
        if not isinstance(error, ssl.SSLError if https else HTTPException | ConnectionError):
            return None
        file, service = ("https", "http") if https else ("http", "https")
        return f"the file says {file}; if the service still speaks {service}, reload it, SIGHUP"
