"""Upload sessions, step by step."""

from __future__ import annotations

from harness.machines.base import PlanMachine, concurrent, steady, step
from harness.model.draft import WORDS, Session
from harness.plan.operation import Arg, Hold, Lane, Place


def has_session(machine: PlanMachine) -> bool:
    return bool(machine.draft.open_sessions())


def has_ended(machine: PlanMachine) -> bool:
    return any(not session.open for session in machine.draft.sessions.values())


def can_patch(machine: PlanMachine) -> bool:
    return machine.can("chunked")


class UploadRules(PlanMachine):
    """Features: ``sessions``, ``out-of-order`` (gaps, repeats, claims), ``refused-commit``,
    ``two-committers``, ``same-blob-twice`` (two sessions at once), ``after-end``, ``foreign-session``,
    ``cancel``."""

    def start_session(self, blob: str, lane: Lane | None = None, repo: str | None = None) -> Session:
        """Open a session that is meant for a blob."""
        name = self.draft.new_id("u")
        repo = repo if repo is not None else self.repo()
        alg = "sha512" if blob in self.draft.blobs and self.draft.blobs[blob].alg == "sha512" else None
        self.do("upload.start", lane, repo=repo, upload=name, alg=alg)
        session = self.draft.sessions[name]
        session.blob = blob
        return session

    def session(self) -> Session:
        return self.dice.recent(self.draft.open_sessions())

    def session_size(self, session: Session) -> int:
        return self.draft.blob_size_bytes(session.blob) or 0

    def at(self, session: Session) -> Lane | None:
        """Mostly the lane that opened the session, when it does not stand still."""
        window = self.draft.window
        if window is not None and window.lane == session.lane:
            return None
        return session.lane if self.dice.chance(0.85) else None

    def patch(self, session: Session, size: int, first: int | None = None, **more: Arg | None) -> str:
        """Send bytes into a session, where it is as far as the plan knows; some without Content-Range."""
        claims = "claim" in more or first is not None
        bare = False if not claims and self.dice.chance(0.25) else None
        first = session.offset if first is None else first
        lane = self.at(session)
        args: dict[str, Arg | None] = {"repo": session.repo, "upload": session.name, "blob": session.blob}
        args.update(more, range=bare)
        return self.do("upload.patch", lane, args, race=False, first=first, size=size)

    def commit(self, session: Session, lane: Lane | None = None, **more: Arg | None) -> str:
        """Close a session with the digest of its blob; missing bytes mostly come in the PUT."""
        left = self.session_size(session) - session.offset
        args: dict[str, Arg | None] = {"repo": session.repo, "upload": session.name, "blob": session.blob}
        if left > 0 and self.dice.chance(0.9):
            args.update(first=session.offset, size=left)
        lane = lane if lane is not None else self.at(session)
        return self.do("upload.finish", lane, {**args, **more}, race=False)

    @step("sessions")
    def open_session(self) -> None:
        session = self.start_session(self.new_blob(self.dice.pick((None, 64, 1000, 4097))))
        if self.can("upload-status") and self.dice.chance(0.15):
            self.look(session)

    @step("sessions", has_session, can_patch)
    def send_chunk(self) -> None:
        session = self.session()
        left = self.session_size(session) - session.offset
        if left > 0:
            sizes = [size for size in (1, left // 2, left - 1, left, 4096, left // 3) if 0 < size <= left]
            self.patch(session, self.dice.pick(sizes))
        else:
            self.commit(session)

    @step("sessions", has_session, can_patch)
    def send_all_and_commit(self) -> None:
        """The rest of a session in one to four chunks, then the commit."""
        session = self.session()
        for _ in range(self.dice.number(0, 3)):
            left = self.session_size(session) - session.offset
            if left > 1:
                self.patch(session, max(1, left // self.dice.number(1, 3)))
        self.commit(session)

    @step("sessions", has_session)
    def look_at_session(self) -> None:
        session = self.session()
        if self.can("upload-status"):
            self.look(session)
        else:
            self.commit(session)

    def look(self, session: Session) -> str:
        return self.do("upload.status", self.at(session), race=False, repo=session.repo, upload=session.name)

    @step("out-of-order", has_session, can_patch)
    def send_out_of_order(self) -> None:
        """A gap, a repeat, an overlap, or right bytes that claim to be others; then perhaps the status."""
        session = self.session()
        size, offset = self.session_size(session), session.offset
        if offset + 1 >= size:
            session = self.start_session(self.new_blob(4097))
            size, offset = 4097, 0
        if offset == 0:
            self.patch(session, size // 3)
            offset = session.offset
        left = size - offset
        how = self.dice.pick(("gap", "repeat", "overlap", "claim", "claim-zero"))
        if how == "gap":
            self.patch(session, max(1, left // 2), offset + min(left - 1, self.dice.pick((1, 100))))
        elif how == "repeat":
            self.patch(session, offset or 1, 0)
        elif how == "overlap":
            self.patch(session, left, max(0, offset - 1))
        else:
            self.patch(session, left, offset, claim=0 if how == "claim-zero" and offset else offset + 7)
        if self.can("upload-status") and self.dice.chance(0.6):
            self.look(session)
        session.offset = offset  # a registry has to refuse it
        if self.dice.chance(0.4):
            self.commit(session)

    @step("refused-commit", has_session)
    def commit_wrong(self) -> None:
        """A commit to refuse: the digest of other bytes, missing bytes, or a wrong last range."""
        session = self.session()
        how = self.dice.pick(("digest", "short", "claim", "claim"))
        if how != "digest" and self.session_size(session) - session.offset <= 1:
            session = self.start_session(self.new_blob(self.dice.pick((64, 4097))))
        left = self.session_size(session) - session.offset
        if how == "claim":
            self.commit(session, first=session.offset, size=left, claim=session.offset + 1)
        elif how == "short" and can_patch(self):
            self.do(
                "upload.finish",
                self.at(session),
                race=False,
                repo=session.repo,
                upload=session.name,
                blob=session.blob,
                declare=session.blob,
                first=session.offset,
                size=left - 1,
            )
        else:
            known = self.placed()
            other = known[1] if known and known[1] != session.blob and self.dice.chance(0.4) else None
            self.commit(session, declare=other or self.new_blob(64))
        if self.dice.chance(0.7):
            self.do("blob.head", race=False, repo=session.repo, blob=session.blob)
        if self.dice.chance(0.3):
            self.push(session.repo, session.blob)

    @step("two-committers", has_session, concurrent)
    def commit_twice(self) -> None:
        """Two lanes close one session at the same time, or one closes it while the other still sends."""
        session = self.session()
        size = self.session_size(session)
        if session.offset < size and can_patch(self) and self.dice.chance(0.6):
            self.patch(session, size - session.offset)
        before = session.last
        lanes = self.dice.some(range(1, self.draft.lanes + 1), 2)
        window = self.draft.window
        if window is not None and window.lane in lanes:
            self.draft.close_window()
        left = size - session.offset
        tail: dict[str, Arg | None] = {"first": session.offset, "size": left} if left > 0 else {}
        names: dict[str, Arg | None] = {"repo": session.repo, "upload": session.name, "blob": session.blob}
        for lane in lanes:
            session.last = before
            self.do("upload.finish", lane, {**names, **tail}, race=False)
        session.open = False
        if self.dice.chance(0.7):
            self.do("blob.pull", race=False, repo=session.repo, blob=session.blob)

    @step("two-committers", concurrent, steady, can_patch)
    def commit_while_sending(self) -> None:
        """One lane stands still in the middle of a PATCH while another one does something to the session, or
        sends the same.
        Some have sent everything before, and stand still in sending it once more, as after a timeout."""
        session = self.start_session(self.new_blob(self.dice.pick((4097, 65537, 8193))), self.lane())
        first = session.lane
        other = self.lane(first)
        size = self.session_size(session)
        kinds = ["upload.finish", "upload.finish"]
        kinds += ["upload.status"] if self.can("upload-status") else []
        kinds += ["upload.cancel"] if self.can("upload-cancel") else []
        kinds += ["upload.patch"] * 3
        kind = self.dice.pick(kinds)
        again = self.dice.chance(0.4)
        if again:
            self.patch(session, size)
        release = self.draft.new_id(WORDS[kind])
        hold = Hold(release, Place("patch", 1, "body", self.dice.pick((0, 1, size // 2, size - 1))))
        names: dict[str, Arg | None] = {"repo": session.repo, "upload": session.name}
        commit = {**names, "blob": session.blob}
        bytes_: dict[str, Arg | None] = {"first": 0, "size": size, "range": False if again else None}
        sent = self.do("upload.patch", first, {**commit, **bytes_}, hold=hold, race=False)
        meanwhile = {"upload.finish": commit, "upload.patch": {**commit, **bytes_}}.get(kind, names)
        self.do(kind, other, meanwhile, race=True, after=(f"{sent}.held",), id=release)
        session.last = sent
        self.do("upload.finish", first, commit, race=False)
        if self.dice.chance(0.5):
            self.do("blob.pull", race=False, repo=session.repo, blob=session.blob)

    @step("same-blob-twice", can_patch)
    def same_blob_in_two_sessions(self) -> None:
        """Two sessions for one blob at once, in one repository or in two; both are to be committed."""
        blob = self.new_blob()
        first = self.start_session(blob)
        second = self.start_session(blob, self.lane(first.lane))
        size = self.session_size(first)
        for session in (first, second):
            if size:
                self.patch(session, size)
        for session in (first, second):
            if self.dice.chance(0.85):
                self.commit(session)

    @step("after-end", has_ended)
    def use_after_end(self) -> None:
        """A session that was committed or cancelled: nobody may use it any more; then what it became is read.

        Chunks come without Content-Range, or from where the session ended: their place refuses neither.
        """
        ended = [session for session in self.draft.sessions.values() if not session.open]
        session = self.dice.recent(ended)
        kinds = ["upload.finish"]
        kinds += ["upload.patch"] * 2 if can_patch(self) else []
        kinds += ["upload.status"] if self.can("upload-status") else []
        names: dict[str, Arg | None] = {"repo": session.repo, "upload": session.name}
        kind = self.dice.pick(kinds)
        if kind != "upload.status":
            names["blob"] = session.blob
        if kind == "upload.patch":
            size = self.session_size(session)
            names.update(first=0, size=self.dice.pick((1, max(1, size // 2), max(1, size))))
            names.update({"claim": size} if self.dice.chance(0.3) else {"range": False})
        self.do(kind, None, names, race=False)
        session.open = False
        if kind == "upload.patch" and self.dice.chance(0.5):
            self.do("blob.pull", race=False, repo=session.repo, blob=session.blob)

    @step("foreign-session")
    def use_from_elsewhere(self) -> None:
        """A session under the name of another repository: it must not be found there."""
        session = self.session() if has_session(self) else self.start_session(self.new_blob(64))
        others = self.elsewhere(session.repo) or [f"{session.repo}-elsewhere"]
        offset = session.offset
        names: dict[str, Arg | None] = {"repo": self.dice.pick(others), "upload": session.name}
        left = self.session_size(session) - session.offset
        kinds = [(1.0, "upload.finish")]
        kinds += [(1.0, "upload.patch")] if can_patch(self) and left > 0 else []
        kinds += [(1.0, "upload.status")] if self.can("upload-status") else []
        kinds += [(1.0, "upload.cancel")] if self.can("upload-cancel") else []
        kind = self.dice.weighted(kinds)
        if kind in ("upload.patch", "upload.finish"):
            names["blob"] = session.blob
        if kind == "upload.patch":
            names.update(first=session.offset, size=left)
        self.do(kind, None, names, race=False)
        session.open, session.offset = True, offset
        if kind == "upload.finish":
            self.draft.placed.pop((str(names["repo"]), session.blob), None)
        if self.dice.chance(0.5):
            self.commit(session)

    @step("cancel", has_session)
    def cancel_session(self) -> None:
        """A session is cancelled; mostly its status is asked for then."""
        session = self.session()
        self.do("upload.cancel", self.at(session), race=False, repo=session.repo, upload=session.name)
        if self.can("upload-status") and self.dice.chance(0.7):
            self.do("upload.status", race=False, repo=session.repo, upload=session.name)
            session.open = False
