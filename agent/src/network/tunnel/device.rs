//! The TUN device: the kernel's packets to other hosts, and theirs to it.

use super::segments::{HEADER, LONGEST};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use tun_rs::{DeviceBuilder, SyncDevice};

/// An open device. It ends with this.
pub struct Device {
    device: SyncDevice,
    buffer: Vec<u8>,
}

impl Device {
    /// Makes a device with a name, and sets it up.
    pub fn open(name: &str, mtu: u16) -> io::Result<Device> {
        let device = DeviceBuilder::new().name(name).mtu(mtu).with(|options| {
            options.offload(true);
        });
        let device = device.build_sync()?;
        device.set_nonblocking(true)?;
        Ok(Device { device, buffer: vec![0; HEADER + LONGEST] })
    }

    /// What the kernel gives, header in front. None: nothing.
    ///
    /// # Errors
    /// If the device is gone.
    pub fn read(&mut self) -> io::Result<Option<&mut [u8]>> {
        loop {
            match rustix::io::read(&self.device, &mut self.buffer) {
                Ok(length) => return Ok(Some(&mut self.buffer[..length])),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the kernel a packet, header in front. What it does not take is lost.
    pub fn write(&self, bytes: &[u8]) {
        while rustix::io::write(&self.device, bytes) == Err(Errno::INTR) {}
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
