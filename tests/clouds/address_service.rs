//! Services on the operator's loopback that tell the address of whoever asks, or something else, or nothing.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tests::cloud::Cloud;

/// How often it looks whether somebody asks.
const LOOK: Duration = Duration::from_millis(10);
/// How long whoever asks may take to say what.
const PATIENCE: Duration = Duration::from_secs(5);

/// A service that gives everybody the same answer.
#[derive(Debug)]
pub(crate) struct AddressService {
    url: String,
    answer: Arc<Mutex<Option<String>>>,
    is_over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl AddressService {
    /// A service that tells this.
    pub(crate) fn start(cloud: &Cloud, answer: &str) -> Self {
        // A socket belongs to the namespace of the thread that made it.
        let listener = cloud.at_operator(|| TcpListener::bind("127.0.0.1:0").unwrap());
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Some(answer.to_owned())));
        let is_over = Arc::new(AtomicBool::new(false));
        let (to_tell, ends) = (Arc::clone(&answer), Arc::clone(&is_over));
        let serving = std::thread::spawn(move || serve(&listener, &to_tell, &ends));
        Self { url, answer, is_over, serving: Some(serving) }
    }

    /// Where it is asked.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Tells something else from now on.
    pub(crate) fn tell(&self, answer: &str) {
        *self.answer.lock().unwrap() = Some(answer.to_owned());
    }

    /// Takes questions from now on, and answers none.
    pub(crate) fn fall_silent(&self) {
        *self.answer.lock().unwrap() = None;
    }
}

impl Drop for AddressService {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            // It has failed the test already, where it has panicked.
            let _ = serving.join();
        }
    }
}

fn serve(listener: &TcpListener, answer: &Mutex<Option<String>>, is_over: &AtomicBool) {
    let mut unanswered = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::park_timeout(LOOK);
            continue;
        };
        match answer.lock().unwrap().as_deref() {
            // Whoever has gone needs no answer.
            Some(answer) => drop(tell(&mut stream, answer)),
            None => unanswered.push(stream),
        }
    }
}

fn tell(stream: &mut TcpStream, answer: &str) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let _question = stream.read(&mut [0; 1024])?;
    let length = answer.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}")
}
