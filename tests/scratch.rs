use muster_tests::Managed;
#[test]
fn scratch() {
    let mut managed = Managed::joined(&["alpha"]);
    managed.hosts[0].network_up();
    std::thread::sleep(std::time::Duration::from_secs(6));
    let host = &managed.hosts[0];
    let ran = host.network_command(&["status"]);
    eprintln!("{ran:#?}\n{}", host.log());
    managed.hosts[0].network_stop();
    eprintln!("{:#?}", managed.hosts[0].network_command(&["down"]));
    panic!();
}
