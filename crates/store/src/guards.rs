//! What the database itself refuses: changing or removing what belongs to the audit log.
//!
//! Design notes. The two databases have no common language for triggers, so they are no migration: they are made at
//! every start, after the migrations, and making them again changes nothing. Rejected: a folder of migrations for each
//! database, because both would have to be kept in the same order as the common ones, and one that was dropped by hand
//! would not come back. Entries can be deleted only up to a removal that was written down: it needs an entry of the log
//! that tells of it, and a checkpoint over the last entry that goes. Whoever forges those has to forge the chain too,
//! which verification finds.

use crate::connect::Dialect;
use crate::error::Doing as _;
use crate::error::StoreError;
use sqlx::AnyConnection;

/// Makes the triggers.
pub(crate) async fn make(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<(), StoreError> {
    let statements = match dialect {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
    };
    sqlx::raw_sql(statements)
        .execute(connection)
        .await
        .doing("guarding the audit log")?;
    Ok(())
}

/// The trigger `audit_log_is_never_deleted` of earlier versions goes only when its successor stands.
const SQLITE: &str = "
    create trigger if not exists audit_log_is_never_updated before update on audit_log
    begin select raise(abort, 'audit_log is append-only'); end;
    create trigger if not exists audit_log_is_only_shortened before delete on audit_log
    when not exists (
        select 1 from audit_removals r
        join audit_checkpoints c on c.sequence = r.last_sequence
        join audit_log t on t.sequence = r.tombstone and t.event = 'segment_removed'
        where r.last_sequence >= old.sequence
    )
    begin select raise(abort, 'audit_log is append-only'); end;
    drop trigger if exists audit_log_is_never_deleted;
    create trigger if not exists audit_checkpoints_are_never_updated before update on audit_checkpoints
    begin select raise(abort, 'audit_checkpoints is append-only'); end;
    create trigger if not exists audit_checkpoints_are_never_deleted before delete on audit_checkpoints
    begin select raise(abort, 'audit_checkpoints is append-only'); end;
    create trigger if not exists audit_keys_are_never_updated before update on audit_keys
    begin select raise(abort, 'audit_keys is append-only'); end;
    create trigger if not exists audit_keys_are_never_deleted before delete on audit_keys
    begin select raise(abort, 'audit_keys is append-only'); end;
    create trigger if not exists audit_removals_are_never_updated before update on audit_removals
    begin select raise(abort, 'audit_removals is append-only'); end;
    create trigger if not exists audit_removals_are_never_deleted before delete on audit_removals
    begin select raise(abort, 'audit_removals is append-only'); end;
";

/// Several statements in one message are one transaction. The lock keeps two processes that start at once from making
/// the same trigger at the same time.
const POSTGRES: &str = "
    select cast(pg_advisory_xact_lock(815001) as text);
    create or replace function audit_log_refuse() returns trigger language plpgsql as
    $$ begin raise exception '% is append-only', tg_table_name; end $$;
    create or replace function audit_log_only_shortened() returns trigger language plpgsql as
    $$ begin
        if not exists (
            select 1 from audit_removals r
            join audit_checkpoints c on c.sequence = r.last_sequence
            join audit_log t on t.sequence = r.tombstone and t.event = 'segment_removed'
            where r.last_sequence >= old.sequence
        ) then raise exception 'audit_log is append-only'; end if;
        return old;
    end $$;
    create or replace trigger audit_log_is_never_updated before update on audit_log
    for each row execute function audit_log_refuse();
    create or replace trigger audit_log_is_never_deleted before delete on audit_log
    for each row execute function audit_log_only_shortened();
    create or replace trigger audit_log_is_never_truncated before truncate on audit_log
    for each statement execute function audit_log_refuse();
    create or replace trigger audit_checkpoints_are_never_changed before update or delete or truncate on audit_checkpoints
    for each statement execute function audit_log_refuse();
    create or replace trigger audit_keys_are_never_changed before update or delete or truncate on audit_keys
    for each statement execute function audit_log_refuse();
    create or replace trigger audit_removals_are_never_changed before update or delete or truncate on audit_removals
    for each statement execute function audit_log_refuse();
";
