"""PostgreSQL's own functions that change no row, and words that only look like functions.

Functions of the server that are not volatile (pg_proc.provolatile) cannot write; of the volatile
ones those are listed that change no table. Whatever stands in neither list may write. A test
compares the lists with the server's catalogue and with every function that Django's ORM knows.
"""

from __future__ import annotations

HARMLESS_FUNCTIONS = frozenset(
    """
    abs acos acosd acosh age any_value array_agg array_append array_cat array_dims array_fill
    array_length array_lower array_ndims array_position array_positions array_prepend array_remove
    array_replace array_reverse array_sample array_shuffle array_sort array_to_json
    array_to_string array_upper ascii asin asind asinh atan atan2 atan2d atand atanh avg bit_and
    bit_count bit_length bit_or bit_xor bool_and bool_or box btrim cardinality casefold cbrt ceil
    ceiling char_length character_length chr circle clock_timestamp coalesce col_description
    concat concat_ws convert convert_from convert_to corr cos cosd cosh cot cotd count covar_pop
    covar_samp crc32 crc32c cume_dist current_catalog current_database current_query
    current_schema current_schemas current_setting current_user currval date date_add date_bin
    date_part date_subtract date_trunc datemultirange daterange decode degrees dense_rank diameter
    div encode erf erfc every exp extract factorial family first_value floor format format_type
    gamma gcd gen_random_uuid generate_series generate_subscripts get_bit get_byte
    get_current_ts_config greatest grouping has_any_column_privilege has_column_privilege
    has_database_privilege has_function_privilege has_schema_privilege has_sequence_privilege
    has_table_privilege has_type_privilege hashtext hashtextextended height host hostmask initcap
    int4range int4multirange int8range int8multirange isempty isfinite json_agg json_agg_strict
    json_array json_array_elements json_array_elements_text json_array_length json_arrayagg
    json_build_array json_build_object json_each json_each_text json_exists json_extract_path
    json_extract_path_text json_object json_object_agg json_object_agg_strict json_object_keys
    json_objectagg json_populate_record json_populate_recordset json_query json_scalar
    json_serialize json_strip_nulls json_table json_to_record json_to_recordset json_typeof
    json_value jsonb_agg jsonb_agg_strict jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg
    jsonb_object_agg_strict jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query
    jsonb_path_query_array jsonb_path_query_first jsonb_populate_record jsonb_populate_recordset
    jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset
    jsonb_typeof justify_days justify_hours justify_interval lag last_value lastval lcm lead least
    left length lgamma ln log log10 lower lower_inc lower_inf lpad lseg ltrim macaddr8_set7bit
    make_date make_interval make_time make_timestamp make_timestamptz masklen max md5 min
    min_scale mod mode netmask network normalize now nth_value ntile nullif num_nonnulls num_nulls
    numrange nummultirange obj_description octet_length overlay parse_ident path pclose
    percent_rank percentile_cont percentile_disc pg_advisory_lock pg_advisory_lock_shared
    pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared pg_advisory_xact_lock
    pg_advisory_xact_lock_shared pg_backend_pid pg_blocking_pids pg_cancel_backend
    pg_collation_is_visible pg_column_size pg_conf_load_time pg_control_checkpoint
    pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_size
    pg_encoding_to_char pg_export_snapshot pg_function_is_visible pg_get_constraintdef pg_get_expr
    pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_partkeydef pg_get_ruledef
    pg_get_serial_sequence pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role
    pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused pg_last_wal_receive_lsn
    pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_notify pg_postmaster_start_time
    pg_relation_filepath pg_relation_size pg_size_bytes pg_size_pretty pg_sleep pg_sleep_for
    pg_sleep_until pg_table_is_visible pg_table_size pg_tablespace_size pg_terminate_backend
    pg_total_relation_size pg_try_advisory_lock pg_try_advisory_lock_shared
    pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared pg_type_is_visible pg_typeof
    pg_wal_lsn_diff phraseto_tsquery pi plainto_tsquery point polygon popen position pow power
    quote_ident quote_literal quote_nullable radians radius random random_normal rank regexp_count
    regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2
    regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse right round row_number
    row_to_json rpad rtrim scale session_user set_config setseed setweight sha224 sha256 sha384
    sha512 shobj_description sign sin sind sinh slope split_part sqrt starts_with
    statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array string_to_table
    strip strpos substr substring sum tan tand tanh timeofday timezone to_ascii to_char to_date
    to_hex to_json to_jsonb to_number to_regclass to_regproc to_regrole to_regtype to_timestamp
    to_tsquery to_tsvector transaction_timestamp translate trim trim_array trim_scale trunc
    ts_debug ts_delete ts_filter ts_headline ts_lexize ts_rank ts_rank_cd tsmultirange
    tsquery_phrase tsrange tstzmultirange tstzrange tsvector_to_array txid_current
    txid_current_if_assigned txid_current_snapshot unistr unnest upper upper_inc upper_inf
    uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 var_pop var_samp variance version
    websearch_to_tsquery width width_bucket xmlagg xmlattributes xmlcomment xmlconcat xmlelement
    xmlexists xmlforest xmlparse xmlpi xmlroot xmlserialize xmltable xmltext xpath xpath_exists

    akeys avals hstore slice crypt digest gen_salt hmac show_trgm similarity
    strict_word_similarity unaccent word_similarity
    """.split()  # noqa: SIM905 - a word list reads better in lines
)
"""The second paragraph: functions of extensions that Django's ORM speaks to (hstore, pgcrypto,
pg_trgm, unaccent)."""

KEYWORDS_BEFORE_PARENTHESES = frozenset(
    """
    all and any array as asymmetric between by case check collate conflict copy cross cube
    distinct do else end escape except exclude exists explain fetch filter first for from full
    generated group grouping having ilike in index inner intersect is isnull join key lateral
    leading left like limit localtime localtimestamp current_time current_timestamp materialized
    natural next not notnull null of offset on only or order outer over overlaps partition
    preceding primary range recursive references returning right rollup row rows select set sets
    similar some symmetric table tablesample then to trailing trim_array union unique using values
    variadic when where window with within without

    bigint bit bool boolean bpchar bytea cast char character cidr date dec decimal double float
    float4 float8 inet int int2 int4 int8 integer interval json jsonb macaddr nchar numeric oid
    precision real regclass smallint text time timestamp timestamptz timetz tsquery tsvector uuid
    varbit varchar varying xml zone
    """.split()  # noqa: SIM905 - a word list reads better in lines
)
"""Words, and names of types, that stand before a parenthesis without calling anything."""
