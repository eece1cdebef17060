"""What an operator can set: one model, from which options, variables, errors and the documentation come.

``configuration`` fills it from a file, the environment and options.  Names end in their unit.  Nothing
here has an effect by itself.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .auth.settings import AuthSettings

ENVIRONMENT_PREFIX = "REFERENCE_"
NESTED_BY = "__"
FAR = 10**9
"""More than anybody needs, and little enough for every clock and counter."""

Port = Annotated[int, Field(ge=0, le=65535)]
Text = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(ge=0, le=FAR, allow_inf_nan=False)]
SomeSeconds = Annotated[float, Field(gt=0, le=FAR, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=FAR)]
SomeCount = Annotated[int, Field(ge=1, le=FAR)]
Bytes = Annotated[int, Field(ge=1024, le=FAR)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Http(Section):
    host: Text = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 or :: for all")
    port: Port = Field(default=5000, description="port to listen on; 0 takes any free one")
    tls_certificate: Text | None = Field(
        default=None, description="PEM file with the certificate chain; with it HTTPS is served"
    )
    tls_key: Text | None = Field(
        default=None,
        description="PEM file with the certificate's private key, unless that is in the same file",
    )
    stop_grace_s: Seconds = Field(
        default=10.0, description="how long open requests may go on when the server is stopped"
    )


class S3(Section):
    endpoint: Text | None = Field(default=None, description="URL of the S3 server; none for that of AWS")
    region: Text | None = Field(
        default=None,
        description="region that requests are signed for; none to take it where the AWS tools look",
    )
    bucket: Text | None = Field(default=None, description="bucket to store in; it must exist")
    prefix: str = Field(default="", description="begin of all keys; what Distribution calls rootdirectory")
    access_key_id: Text | None = Field(
        default=None, description="who we are to S3; none to take it where the AWS tools look"
    )
    secret_access_key: SecretStr | None = Field(default=None, description="its secret")
    part_size_bytes: int = Field(
        default=16 << 20,
        ge=5 << 20,
        le=FAR,
        description="size of the parts that uploads are sent in",
    )
    coordination: Text | None = Field(
        default=None, description="local folder with the locks that servers and collectors on this host share"
    )
    take_over: bool = Field(default=False, description="serve a bucket that another host said to be its own")


class Storage(Section):
    driver: Literal["filesystem", "memory", "s3"] = Field(
        default="filesystem", description="what to store in"
    )
    root: Text | None = Field(
        default=None, description="folder to store in (filesystem); what Distribution calls rootdirectory"
    )
    fsync: bool = Field(
        default=True, description="sync before answering; without, a power cut may lose what was acknowledged"
    )
    read_only: bool = Field(
        default=False, description="serve what is there, write nothing, refuse pushes with 405"
    )
    s3: S3 = S3()


class Collect(Section):
    interval_s: Seconds = Field(default=0.0, description="collect inside the server this often; 0: never")
    grace_s: Seconds | None = Field(
        default=None,
        description="keep what was pushed, mounted or looked for this recently;"
        " none: 3600 inside the server, 0 for the command",
    )
    purge_delay_s: Seconds = Field(
        default=0.0,
        description="how long what was found to be unused can still be restored;"
        " at least the grace if Distribution writes to the same store",
    )
    delete_untagged: bool = Field(
        default=False, description="also delete manifests that no tag, index or subject leads to"
    )


class Sessions(Section):
    max_age_s: SomeSeconds = Field(
        default=7 * 86400.0, description="forget uploads that got nothing for this long"
    )


class Limits(Section):
    manifest_max_bytes: Bytes = Field(default=4 << 20, description="larger manifests are refused (413)")
    head_max_bytes: Bytes = Field(default=64 << 10, description="longer heads of requests are refused (431)")
    head_timeout_s: SomeSeconds = Field(
        default=60.0, description="how long the head of a request may take to arrive"
    )
    keep_alive_s: SomeSeconds = Field(
        default=75.0, description="how long a connection may wait for its next request"
    )
    body_idle_timeout_s: SomeSeconds = Field(
        default=60.0, description="give up on a request body that stops coming (408); what arrived is kept"
    )
    body_min_bytes_per_s: Count = Field(
        default=256,
        description="give up on a body that comes more slowly than this on average (408); 0: never",
    )
    body_grace_s: Seconds = Field(
        default=60.0, description="how long a body may be slower than that at its begin"
    )
    request_timeout_s: SomeSeconds = Field(
        default=6 * 3600.0, description="how long a request may take, body and answer included"
    )
    connections: SomeCount = Field(default=1000, description="more connections at once are turned away (503)")
    storage_threads: int = Field(
        default=32,
        ge=1,
        le=1000,
        description="operations of the storage at once; more requests wait their turn",
    )
    open_sessions: Count = Field(
        default=10_000, description="open uploads in one repository; more are refused (429); 0: any number"
    )
    page_size: SomeCount = Field(default=1000, description="entries in one page of a listing")
    tags_per_push: SomeCount = Field(default=64, description="tags that one push of a manifest may set (414)")


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least to be logged"
    )
    format: Literal["human", "json"] = Field(default="human", description="how lines on standard error look")
    access: bool = Field(default=False, description="log a line for each request, whatever the level")


class Metrics(Section):
    listen: Literal["off", "separate", "public"] = Field(
        default="off",
        description="serve /metrics on a port of its own, on the registry's port, or not at all",
    )
    host: Text = Field(default="127.0.0.1", description="address of the port of its own")
    port: Port = Field(default=5001, description="the port of its own; 0 takes any free one")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter=NESTED_BY,
        env_ignore_empty=True,
    )

    http: Http = Http()
    storage: Storage = Storage()
    auth: AuthSettings = AuthSettings()
    collect: Collect = Collect()
    sessions: Sessions = Sessions()
    limits: Limits = Limits()
    log: Log = Log()
    metrics: Metrics = Metrics()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: ``configuration`` merges the sources, to know what came from where."""
        return (init_settings,)
