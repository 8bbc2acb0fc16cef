use super::*;
use crate::join::state_dir::TestDir;
use std::fs;

const STRING: &str = "muster://hush@a:1?pin=sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn read(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Options, Trouble> {
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    Options::read(arguments.iter().map(OsString::from), variable)
}

/// Where the engine is, on a host that has none.
fn socket(options: &Options) -> EngineAddress {
    options.docker_socket(TestDir::new().path()).unwrap()
}

/// With a state directory that is empty.
fn in_dir(dir: &TestDir, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Options, Trouble> {
    read(&[arguments, &["--state-dir", dir.path().to_str().unwrap()]].concat(), variables)
}

fn conf(dir: &TestDir, text: &str) {
    fs::write(dir.path().join(FILE), text).unwrap();
}

#[test]
fn flags_go_before_variables_before_the_file_before_defaults() {
    let dir = TestDir::new();
    let options = in_dir(&dir, &["run"], &[]).unwrap();
    assert_eq!(options.interval, Duration::from_secs(5));
    assert_eq!(socket(&options), EngineAddress::from("/var/run/docker.sock"));
    assert_eq!((options.name.as_deref(), options.log), (None, LevelFilter::Info));

    conf(&dir, "# of the image\n\n interval = 7m \ndocker-host=unix:///file.sock\nname = file\nlog = warn\n");
    let options = in_dir(&dir, &["run"], &[("DOCKER_HOST", "")]).unwrap();
    assert_eq!(options.interval, Duration::from_secs(7 * 60));
    assert_eq!(socket(&options), EngineAddress::from("/file.sock"));
    assert_eq!((options.name.as_deref(), options.log), (Some("file"), LevelFilter::Warn));

    let variables = [
        ("MUSTER_INTERVAL", "8s"),
        ("DOCKER_HOST", "unix:///variable.sock"),
        ("MUSTER_NAME", "variable"),
        ("MUSTER_STATE_DIR", "/nowhere"),
        ("MUSTER_URL", "the command line's"),
    ];
    let options = in_dir(&dir, &["run"], &variables).unwrap();
    assert_eq!(options.interval, Duration::from_secs(8));
    assert_eq!(socket(&options), EngineAddress::from("/variable.sock"));
    assert_eq!((options.name.as_deref(), options.log), (Some("variable"), LevelFilter::Warn));
    assert_eq!(options.state_dir, dir.path());

    let flags = ["run", "--interval=9h", "--docker-host", "unix:///flag.sock", "--name", "flag", "--log", "debug"];
    let options = in_dir(&dir, &flags, &variables).unwrap();
    assert_eq!(options.interval, Duration::from_secs(9 * 3600));
    assert_eq!(socket(&options), EngineAddress::from("/flag.sock"));
    assert_eq!((options.name.as_deref(), options.log), (Some("flag"), LevelFilter::Debug));
}

#[test]
fn the_state_directory_of_the_environment_says_where_the_file_is() {
    let dir = TestDir::new();
    conf(&dir, "name = file\n");
    let options = read(&["run"], &[("MUSTER_STATE_DIR", dir.path().to_str().unwrap())]).unwrap();
    assert_eq!(options.name.as_deref(), Some("file"));
    assert_eq!(read(&["run"], &[]).unwrap().state_dir, Path::new(STATE_DIR));
}

#[test]
fn commands_and_their_flags() {
    let dir = TestDir::new();
    let of = |arguments: &[&str]| in_dir(&dir, arguments, &[]).map(|options| options.command);
    let given = JoinSource::Given(STRING.parse().unwrap());
    assert_eq!(of(&["join", STRING]), Ok(Command::Join { string: given, run: false }));
    assert_eq!(of(&["--run", "join", "-"]), Ok(Command::Join { string: JoinSource::Stdin, run: true }));
    assert_eq!(of(&["--name", "x", "run"]), Ok(Command::Run));
    assert_eq!(of(&["status"]), Ok(Command::Status { json: false }));
    assert_eq!(of(&["status", "--format=json"]), Ok(Command::Status { json: true }));
    assert_eq!(of(&["doctor"]), Ok(Command::Doctor { json: false }));
    assert_eq!(of(&["--json", "doctor"]), Ok(Command::Doctor { json: true }));
    for help in [&["help"][..], &["--help"], &["join", "-h"], &["help", "join"]] {
        assert_eq!(read(help, &[("MUSTER_INTERVAL", "bad")]).map(|options| options.command), Ok(Command::Help));
    }
    assert_eq!(of(&["--version"]), Ok(Command::Version));
    assert_eq!(of(&["run", "--join", STRING]), Ok(Command::Run));
}

#[test]
fn wrong_command_lines_are_told_in_one_line_without_the_token() {
    let dir = TestDir::new();
    let no_pin = STRING.split('?').next().unwrap();
    for (arguments, part) in [
        (&[][..], "the commands are"),
        (&["jion"], "'jion'"),
        (&[STRING], "the commands are"),
        (&["join"], "muster join-command"),
        (&["join", no_pin], "in quotes"),
        (&["join", STRING, STRING], "too many"),
        (&["run", STRING], "too many"),
        (&["status", "x"], "too many"),
        (&["run", "--intervall", "5s"], "known are --state-dir, --docker-host"),
        (&["run", "-x"], "-x"),
        (&["run", "--interval"], "missing"),
        (&["run", "--run"], "for `join`"),
        (&["join", "-", "--run=x"], "no value"),
        (&["status", "--join", STRING], "for `run`"),
        (&["run", "--format", "json"], "for `status`"),
        (&["join", "-", "--json"], "for `status` and `doctor`"),
        (&["doctor", "--join", STRING], "for `run`"),
        (&["doctor", "--run"], "for `join`"),
        (&["doctor", "me"], "too many"),
        (&["status", "--json=x"], "no value"),
        (&["status", "--format", "yaml"], "known are table and json"),
        (&["run", "--join", no_pin], "--join"),
    ] {
        let trouble = read(arguments, &[("MUSTER_STATE_DIR", dir.path().to_str().unwrap())]).unwrap_err();
        let line = trouble.to_string();
        assert_eq!(trouble.exit, Exit::Usage, "{line}");
        assert!(line.contains(part) && !line.contains('\n') && !line.contains("hush"), "{line}");
    }
}

#[test]
fn wrong_values_are_told_with_their_place() {
    let dir = TestDir::new();
    for (name, value) in [
        ("interval", "500ms"),
        ("interval", "5"),
        ("interval", "0s"),
        ("interval", "25h"),
        ("interval", "+5s"),
        ("interval", "s"),
        ("interval", "5é"),
        ("interval", "99999999999999999999h"),
        ("join", "muster://hush@a:1"),
        ("name", "a\u{7}b"),
        ("name", &"x".repeat(65)),
        ("fingerprint", &"x".repeat(300)),
        ("log", "loud"),
    ] {
        let setting = Setting::named(name).unwrap();
        let flag = in_dir(&dir, &["run", &format!("--{name}"), value], &[]).unwrap_err();
        assert_eq!((flag.exit, flag.what), (Exit::Usage, format!("--{name}")), "{value}");
        let variable = in_dir(&dir, &["run"], &[(setting.variable(), value)]).unwrap_err();
        assert_eq!((variable.exit, variable.what.as_str()), (Exit::Usage, setting.variable()), "{value}");
        conf(&dir, &format!("# one\n{name} = {value}\n"));
        let line = in_dir(&dir, &["run"], &[]).unwrap_err();
        assert!(line.what.ends_with("/agent.conf:2") && !line.to_string().contains("hush"), "{line}");
        conf(&dir, "");
    }
    assert!(in_dir(&dir, &["run", "--name", ""], &[]).unwrap_err().why.contains("no value"));
}

#[test]
fn the_file_is_held_to_its_form_and_size() {
    let dir = TestDir::new();
    let long = format!("#{}\n", "x".repeat(FILE_LIMIT));
    for (text, part) in [
        (
            "intervall = 5s\n",
            "/agent.conf:1: 'intervall' is not known; write `name = value`; known are docker-host, int",
        ),
        ("\nname\n", "/agent.conf:2: there is no ="),
        ("state-dir = /x\n", "cannot be set in it"),
        (STRING, "/agent.conf:1: a value stands where"),
        ("name =\n", "no value"),
        (&long, "larger than"),
    ] {
        conf(&dir, text);
        let trouble = in_dir(&dir, &["run"], &[]).unwrap_err();
        let line = trouble.to_string();
        assert_eq!(trouble.exit, Exit::Usage, "{line}");
        assert!(line.contains(part) && !line.contains("hush"), "{line}");
    }
}

#[test]
fn a_file_that_is_wrong_keeps_nobody_from_looking_what_is_wrong() {
    let dir = TestDir::new();
    for (text, part) in [("intervall = 5s\n", "/agent.conf:1"), ("name = a\nlog = loud\n", "/agent.conf:2")] {
        conf(&dir, text);
        let options = in_dir(&dir, &["doctor"], &[("DOCKER_HOST", "unix:///x")]).unwrap();
        assert!(options.trouble.as_ref().unwrap().what.ends_with(part), "{:?}", options.trouble);
        assert_eq!(socket(&options), EngineAddress::from("/x"), "what stands above the file counts");
        assert!(in_dir(&dir, &["run"], &[]).is_err() && in_dir(&dir, &["doctor", "--interval", "x"], &[]).is_err());
    }
}

#[test]
fn an_address_that_cannot_be_used_is_refused_and_joining_does_not_mind() {
    let dir = TestDir::new();
    for url in ["ssh://elsewhere", "/var/run/docker.sock", "unix://relative", "tcp://nowhere"] {
        let options = in_dir(&dir, &["join", STRING], &[("DOCKER_HOST", url)]).unwrap();
        let trouble = options.docker_socket(Path::new("/")).unwrap_err();
        assert_eq!((trouble.exit, trouble.what.as_str()), (Exit::Usage, "DOCKER_HOST"));
        assert_eq!(options.run_settings().unwrap_err().exit, Exit::Usage);
    }
}

#[test]
fn a_run_needs_an_identity_or_a_way_to_get_one() {
    let dir = TestDir::new();
    let settings = |arguments: &[&str]| in_dir(&dir, arguments, &[]).and_then(|options| options.run_settings());
    let trouble = settings(&["run"]).unwrap_err();
    assert!(trouble.exit == Exit::Failed && trouble.to_string().contains("muster-agent join"), "{trouble}");
    let given = settings(&["run", "--join", STRING, "--fingerprint", "rack 4"]).unwrap();
    assert_eq!(given.join, Some(STRING.parse().unwrap()));
    assert_eq!(given.fingerprint, facts::fingerprint_of("rack 4"));
    fs::write(dir.path().join("join"), STRING).unwrap();
    assert_eq!(settings(&["run"]).unwrap().join, Some(STRING.parse().unwrap()));
    fs::write(dir.path().join("join"), "rubbish").unwrap();
    assert_eq!(settings(&["run"]).unwrap_err().exit, Exit::Usage);

    let join: JoinString = STRING.parse().unwrap();
    let identity = Identity {
        host: Some(Default::default()),
        name: "x".into(),
        credential: "ab".repeat(32).parse().unwrap(),
        spare: None,
        addresses: join.addresses,
        pins: join.pins,
        former: Vec::new(),
        revision: 0,
        generation: 0,
    };
    identity.store(dir.path()).unwrap();
    assert_eq!(settings(&["run"]).unwrap().join, None);
}

#[test]
fn a_spool_has_a_size_within_limits_and_is_off_unless_asked_for() {
    let dir = TestDir::new();
    assert_eq!(in_dir(&dir, &["run"], &[]).unwrap().spool, 0);
    for (text, size) in [("0", 0), ("0KiB", 0), ("64KiB", 65_536), ("16384", 16_384), ("128KiB", 131_072)] {
        assert_eq!(in_dir(&dir, &["run", "--spool", text], &[]).unwrap().spool, size, "{text}");
    }
    for text in ["1", "15KiB", "129KiB", "KiB", "-1", "+16384", "64kb", "64 KiB", "99999999999999999999KiB", "on"] {
        assert!(in_dir(&dir, &["run", "--spool", text], &[]).is_err(), "{text}");
    }
}

#[test]
fn vitals_have_an_interval_of_their_own_or_none() {
    let dir = TestDir::new();
    let of = |arguments: &[&str]| in_dir(&dir, arguments, &[]).map(|options| options.vitals_interval);
    assert_eq!(of(&["run"]), Ok(Some(Duration::from_secs(15))));
    assert_eq!(of(&["run", "--vitals-interval=2m"]), Ok(Some(Duration::from_secs(120))));
    assert_eq!((of(&["run", "--vitals-interval=off"]), of(&["run", "--vitals-interval", "0"])), (Ok(None), Ok(None)));
    let wrong = of(&["run", "--vitals-interval=never"]).unwrap_err().to_string();
    assert!(wrong.starts_with("--vitals-interval: 'never' is no interval that can be used"), "{wrong}");
    conf(&dir, "vitals-interval = off\n");
    assert_eq!(of(&["run"]), Ok(None));
}
